"""What hours of virtual time cost, and what they are spent on."""

"""MAP-E (RFC 7597): rules and their arithmetic, customer edge (CE) and border relay (BR)."""

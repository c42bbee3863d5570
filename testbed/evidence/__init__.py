"""What a lab leaves to be judged by: captures, traces, reports."""

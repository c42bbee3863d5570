"""How each kernel feature is found out: by using it once in a namespace that is thrown away."""

"""Plain values, which import nothing else of ours."""

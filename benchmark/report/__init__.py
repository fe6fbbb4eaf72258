"""Tables, figures and the page, rebuilt from stored results: no GPU, no data, no torch, and always the same bytes."""

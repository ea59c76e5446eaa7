"""The pages: one module for each, with a function that takes a `View` and returns a response."""

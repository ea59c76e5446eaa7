"""The JSON API under `/api`, its OpenAPI document, and `/metrics`: what the pages show and do, for programs.

`operations` is the table of all addresses. To add one: a function in `reads` or `actions`, its Structs in `asking` and
`shapes`, a row, a test. The document is made from the same functions and Structs, so it tells what is so.
"""

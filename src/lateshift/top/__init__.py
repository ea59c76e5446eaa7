"""`lateshift top`: the terminal twin of the dashboard's overview.

`picture` reads what there is to show, over the same reads as the dashboard; `state` is what the keys have chosen;
`drawing` and `detail` make lines of text of both; `terminal` is the keyboard and the screen; `loop` goes round.
"""

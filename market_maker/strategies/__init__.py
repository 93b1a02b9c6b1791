"""The strategies that come with the program, one to a file: `STRATEGY` names the file.

Each is a subclass of OrderManager that says which orders it wants; copy one, change it, and name
the copy in `STRATEGY = "my_grid.py:Grid"`.
"""

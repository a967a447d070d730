"""Prints the thing's name of each certificate id given, as the function in a folder finds it; - where it finds none.

names.py FOLDER < ids
"""

import sys

sys.path.insert(0, sys.argv[1])
import activate  # noqa: E402

for line in sys.stdin:
    place = activate.position(line.strip())
    print("-" if place is None else activate.thing_name(place))

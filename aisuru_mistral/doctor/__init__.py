"""`manage.py doctor`: looks a deployment over and says what is wrong and how to mend it.

It changes nothing. Each look is a function that yields findings; a look that breaks is a finding
too, so that one dead neighbour does not hide the others.
"""

"""Export: the classifier in formats that other programs serve, each checked before it is put in place.

`exporting` makes, checks and places an export; `formats` lists what there is, a module each.
"""

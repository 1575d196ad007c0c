"""
An adapter's files: found, checked, read, saved and published. Nothing here fits one.

Each module is imported by who needs it: a process that only loads an adapter pays for no other.
"""

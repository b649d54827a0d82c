"""Safe reading of archives: bounded in memory and time, whatever an archive claims about itself.

Nothing here writes to a disk, so a member's name is only ever a name.
"""

"""What was asked before is answered as before: the outage stories.

They ask each kind of question while all clusters answer, silence a cluster, and
ask again. Their clusters are servers in this process that have more than
addresses; none of the stories depends on how fast they are.
"""

from . import floods, held, merging, reloads

STORIES = {**held.STORIES, **floods.STORIES, **reloads.STORIES, **merging.STORIES}

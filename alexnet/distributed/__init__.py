"""Several processes that train one network: who they are, what they tell each other, and who keeps them waiting."""

from alexnet.distributed.connect import LOADING_S, connected, may_speak
from alexnet.distributed.world import World, from_environment, own_share

__all__ = ["LOADING_S", "World", "connected", "from_environment", "may_speak", "own_share"]

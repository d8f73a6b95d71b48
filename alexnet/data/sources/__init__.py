"""Where images come from: named sources, folders, shards and the hub."""

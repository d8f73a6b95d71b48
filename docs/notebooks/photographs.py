# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Your own photographs
#
# One folder a class. Here we draw 48 pictures of stripes, so that the notebook runs anywhere; put the path of your
# own folder in their place.

# %%
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import alexnet

folder = Path("stripes")
for label, name in enumerate(("across", "down")):
    (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(24):
        pixels = np.random.default_rng(100 * label + i).integers(0, 120, (80, 80, 3))
        pixels[(slice(None, None, 4),) if label == 0 else (slice(None), slice(None, None, 4))] += 120
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i:02}.jpg")

# %% [markdown]
# The recipe `photos` fine-tunes `small`, a network that comes with the package. In the shell, `alexnet start
# stripes/` does this and more: it looks for broken files and duplicates first.

# %%
recipe = replace(alexnet.recipes.photos(), epochs=2, batch_size=8)
recipe

# %%
run = alexnet.train(recipe, data=str(folder), out="runs/stripes")
net = alexnet.load(run)

# %%
net.evaluate(str(folder))

# %%
net.predict(sorted((folder / "down").glob("*.jpg"))[0])

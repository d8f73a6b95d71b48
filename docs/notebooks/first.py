# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # A first classifier in five cells
#
# TinyAlexNet learns 1,797 handwritten digits in half a minute, without a download.

# %%
from dataclasses import replace

import alexnet

recipe = replace(alexnet.recipes.digits(), epochs=5)
recipe

# %%
run = alexnet.train(recipe, out="runs/notebook")

# %%
net = alexnet.load(run)
net.evaluate("digits")

# %%
import numpy as np
from sklearn.datasets import load_digits

pixels = (load_digits().images[0] * 255 / 16).astype(np.uint8)  # uint8 [8, 8]
net.predict(pixels)

# %%
print("open", run / "report.html")

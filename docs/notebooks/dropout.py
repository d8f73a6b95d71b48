# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # The switch of dropout
#
# The same network, the same image, twice: with dropout left on the answer depends on the draw.

# %%
from dataclasses import replace

import numpy as np
import torch
from sklearn.datasets import load_digits

import alexnet

recipe = alexnet.recipes.digits()
recipe = replace(recipe, epochs=5, model=replace(recipe.model, dropout=0.5))
run = alexnet.train(recipe, out="runs/dropout")
model = alexnet.load(run).model.float()

# %%
pixels_NHW = load_digits().images[:200]
x_NCHW = torch.nn.functional.interpolate(torch.tensor(pixels_NHW / 8 - 1, dtype=torch.float32)[:, None], (32, 32))


@torch.inference_mode()
def answers(on: bool) -> np.ndarray:
    """The class of each image, with dropout on or off."""
    model.train(on)
    return model(x_NCHW).argmax(1).numpy()


changed_on = (answers(on=True) != answers(on=True)).mean()
changed_off = (answers(on=False) != answers(on=False)).mean()
print(f"answers that change: {changed_on:.1%} with dropout on, {changed_off:.1%} with it off")

# %%
assert changed_off == 0

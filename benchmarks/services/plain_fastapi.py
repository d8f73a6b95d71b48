# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "uvicorn", "httptools", "uvloop", "torch", "torchvision", "pillow", "safetensors"]
# ///
"""FastAPI and torch as tutorials put them together: each request decodes its image and runs the network on it.

    python plain_fastapi.py WEIGHTS PORT THREADS inline|threads [channels_last]

`inline` computes on the event loop, `threads` in Starlette's thread pool. The network is alexnet's own, so that only
the service differs; with `channels_last` in the memory format that this package itself computes in.
"""

import io
import sys

import torch
import torchvision.transforms.v2 as T
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image

from alexnet import weights

PATH, PORT, THREADS, HOW = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(THREADS)
model, card = weights.load(PATH)
model.eval()
if "channels_last" in sys.argv:
    model = model.to(memory_format=torch.channels_last)
how = card.preprocessing
transform = T.Compose(
    [
        T.Resize(how.square_px),
        T.CenterCrop(how.image_px),
        T.ToImage(),
        T.ToDtype(torch.float32, scale=True),
        T.Normalize(how.mean, how.std),
    ]
)
app = FastAPI()


def classify(body: bytes) -> dict:
    image = Image.open(io.BytesIO(body)).convert("RGB")
    with torch.inference_mode():
        p_K = model(transform(image)[None]).softmax(1)[0]
    p, index = p_K.topk(5)
    return {
        "classes": [
            {"name": card.class_names[i], "probability": p} for i, p in zip(index.tolist(), p.tolist(), strict=True)
        ]
    }


@app.post("/predict")
async def predict(request: Request) -> dict:
    body = await request.body()
    return classify(body) if HOW == "inline" else await run_in_threadpool(classify, body)


@app.get("/ready")
async def ready() -> dict:
    return {}


uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", access_log=False)

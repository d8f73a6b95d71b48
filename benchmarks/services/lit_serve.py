# /// script
# requires-python = ">=3.11"
# dependencies = ["litserve", "torch", "torchvision", "pillow", "safetensors"]
# ///
"""LitServe with its own batching, as its documentation has it.

    python lit_serve.py WEIGHTS PORT THREADS MAX_BATCH BATCH_TIMEOUT_S

The network is in the memory format that this package computes in. A request is JSON with the file in base64: LitServe
takes no raw body.
"""

import base64
import io
import sys

import litserve
import torch
import torchvision.transforms.v2 as T
from PIL import Image

from alexnet import weights

PATH, PORT, THREADS, MAX_BATCH, TIMEOUT_S = sys.argv[1], *map(float, sys.argv[2:6])


class Service(litserve.LitAPI):
    def setup(self, device: str) -> None:
        torch.set_num_threads(int(THREADS))
        self.model, self.card = weights.load(PATH)
        self.model = self.model.eval().to(memory_format=torch.channels_last)
        how = self.card.preprocessing
        self.transform = T.Compose(
            [
                T.Resize(how.square_px),
                T.CenterCrop(how.image_px),
                T.ToImage(),
                T.ToDtype(torch.float32, scale=True),
                T.Normalize(how.mean, how.std),
            ]
        )

    def decode_request(self, request: dict) -> torch.Tensor:
        image = Image.open(io.BytesIO(base64.b64decode(request["image"])))
        return self.transform(image.convert("RGB"))

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(inputs)

    def predict(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        single = x_NCHW.ndim == 3
        with torch.inference_mode():
            p_NK = self.model(x_NCHW[None] if single else x_NCHW).softmax(1)
        return p_NK[0] if single else p_NK

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        return list(output)

    def encode_response(self, p_K: torch.Tensor) -> dict:
        p, index = p_K.topk(5)
        return {
            "classes": [
                {"name": self.card.class_names[i], "probability": p}
                for i, p in zip(index.tolist(), p.tolist(), strict=True)
            ]
        }


if __name__ == "__main__":
    api = Service(max_batch_size=int(MAX_BATCH), batch_timeout=TIMEOUT_S)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(PORT), num_api_servers=1, generate_client_file=False, log_level="warning")

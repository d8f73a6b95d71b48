"""The messages of caffe.proto that weights files hold, compiled by Google's protobuf from their field numbers.

Independent of the package's own reader; used to make files for its tests.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _F.LABEL_OPTIONAL, _F.LABEL_REPEATED
_INT32, _INT64, _UINT32, _BOOL = _F.TYPE_INT32, _F.TYPE_INT64, _F.TYPE_UINT32, _F.TYPE_BOOL
_FLOAT, _DOUBLE, _TEXT, _MESSAGE = _F.TYPE_FLOAT, _F.TYPE_DOUBLE, _F.TYPE_STRING, _F.TYPE_MESSAGE

_CONVOLUTION = [
    ("num_output", 1, _ONE, _UINT32), ("bias_term", 2, _ONE, _BOOL), ("pad", 3, _MANY, _UINT32),
    ("kernel_size", 4, _MANY, _UINT32), ("group", 5, _ONE, _UINT32), ("stride", 6, _MANY, _UINT32),
]  # fmt: skip
_POOLING = [("pool", 1, _ONE, _INT32), ("kernel_size", 2, _ONE, _UINT32), ("stride", 3, _ONE, _UINT32)]
_LRN = [("local_size", 1, _ONE, _UINT32), ("alpha", 2, _ONE, _FLOAT), ("beta", 3, _ONE, _FLOAT),
        ("norm_region", 4, _ONE, _INT32), ("k", 5, _ONE, _FLOAT)]  # fmt: skip
_TRANSFORM = [("scale", 1, _ONE, _FLOAT), ("mirror", 2, _ONE, _BOOL), ("crop_size", 3, _ONE, _UINT32),
              ("mean_file", 4, _ONE, _TEXT), ("mean_value", 5, _MANY, _FLOAT)]  # fmt: skip


def schema(*, packed: bool = True) -> SimpleNamespace:
    """Message classes by name; `packed`: whether numbers of blobs are packed, as since 2013."""
    file = descriptor_pb2.FileDescriptorProto(name=f"caffe_{packed}.proto", package="caffe", syntax="proto2")

    def message(name: str, fields: list[tuple[Any, ...]]) -> None:
        made = file.message_type.add(name=name)
        for field_name, number, label, kind, *more in fields:
            field = made.field.add(name=field_name, number=number, label=label, type=kind)
            if kind == _MESSAGE:
                field.type_name = f".caffe.{more[0]}"
            elif label == _MANY and more:
                field.options.packed = more[0]

    message("BlobShape", [("dim", 1, _MANY, _INT64, True)])
    message("BlobProto", [
        ("num", 1, _ONE, _INT32), ("channels", 2, _ONE, _INT32), ("height", 3, _ONE, _INT32),
        ("width", 4, _ONE, _INT32), ("data", 5, _MANY, _FLOAT, packed), ("diff", 6, _MANY, _FLOAT, packed),
        ("shape", 7, _ONE, _MESSAGE, "BlobShape"), ("double_data", 8, _MANY, _DOUBLE, packed),
    ])  # fmt: skip
    message("ConvolutionParameter", _CONVOLUTION)
    message("PoolingParameter", _POOLING)
    message("LRNParameter", _LRN)
    message("TransformationParameter", _TRANSFORM)
    message("InnerProductParameter", [("num_output", 1, _ONE, _UINT32), ("bias_term", 2, _ONE, _BOOL)])
    message("LayerParameter", [
        ("name", 1, _ONE, _TEXT), ("type", 2, _ONE, _TEXT), ("bottom", 3, _MANY, _TEXT), ("top", 4, _MANY, _TEXT),
        ("loss_weight", 5, _MANY, _FLOAT), ("blobs", 7, _MANY, _MESSAGE, "BlobProto"), ("phase", 10, _ONE, _INT32),
        ("transform_param", 100, _ONE, _MESSAGE, "TransformationParameter"),
        ("convolution_param", 106, _ONE, _MESSAGE, "ConvolutionParameter"),
        ("inner_product_param", 117, _ONE, _MESSAGE, "InnerProductParameter"),
        ("lrn_param", 118, _ONE, _MESSAGE, "LRNParameter"),
        ("pooling_param", 121, _ONE, _MESSAGE, "PoolingParameter"),
    ])  # fmt: skip
    message("V0LayerParameter", [
        ("name", 1, _ONE, _TEXT), ("type", 2, _ONE, _TEXT), ("num_output", 3, _ONE, _UINT32),
        ("pad", 7, _ONE, _UINT32), ("kernelsize", 8, _ONE, _UINT32), ("group", 9, _ONE, _UINT32),
        ("stride", 10, _ONE, _UINT32), ("pool", 11, _ONE, _INT32), ("local_size", 13, _ONE, _UINT32),
        ("alpha", 14, _ONE, _FLOAT), ("beta", 15, _ONE, _FLOAT), ("scale", 17, _ONE, _FLOAT),
        ("cropsize", 20, _ONE, _UINT32), ("blobs", 50, _MANY, _MESSAGE, "BlobProto"), ("blobs_lr", 51, _MANY, _FLOAT),
    ])  # fmt: skip
    message("V1LayerParameter", [
        ("layer", 1, _ONE, _MESSAGE, "V0LayerParameter"), ("bottom", 2, _MANY, _TEXT), ("top", 3, _MANY, _TEXT),
        ("name", 4, _ONE, _TEXT), ("type", 5, _ONE, _INT32), ("blobs", 6, _MANY, _MESSAGE, "BlobProto"),
        ("blobs_lr", 7, _MANY, _FLOAT), ("convolution_param", 10, _ONE, _MESSAGE, "ConvolutionParameter"),
        ("inner_product_param", 17, _ONE, _MESSAGE, "InnerProductParameter"),
        ("lrn_param", 18, _ONE, _MESSAGE, "LRNParameter"), ("pooling_param", 19, _ONE, _MESSAGE, "PoolingParameter"),
        ("transform_param", 36, _ONE, _MESSAGE, "TransformationParameter"),
    ])  # fmt: skip
    message("NetParameter", [
        ("name", 1, _ONE, _TEXT), ("layers", 2, _MANY, _MESSAGE, "V1LayerParameter"), ("input", 3, _MANY, _TEXT),
        ("input_dim", 4, _MANY, _INT32), ("input_shape", 8, _MANY, _MESSAGE, "BlobShape"),
        ("layer", 100, _MANY, _MESSAGE, "LayerParameter"),
    ])  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = [each.name for each in file.message_type]
    return SimpleNamespace(
        **{name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in names}
    )

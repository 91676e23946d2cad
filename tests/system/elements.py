"""The elements of a tensor as float64, by numpy and by the definitions of the small floats."""

import json
import struct

import numpy as np

# exponent bits, mantissa bits, bias, and what the ends of the range mean
SMALL_FLOATS = {
    "bfloat16": (8, 7, 127, "ieee"),
    "float8_e5m2": (5, 2, 15, "ieee"),
    "float8_e4m3fn": (4, 3, 7, "ones"),
    "float8_e4m3fnuz": (4, 3, 8, "zero"),
    "float8_e5m2fnuz": (5, 2, 16, "zero"),
    "float6_e2m3fn": (2, 3, 1, "never"),
    "float6_e3m2fn": (3, 2, 3, "never"),
    "float4_e2m1fn": (2, 1, 1, "never"),
}
WIDTHS = {"float4_e2m1fn": 4, "float6_e2m3fn": 6, "float6_e3m2fn": 6}
PLAIN = {"bool": "?", "float16": "<f2", "float32": "<f4", "float64": "<f8",
         "complex64": "<f4", "complex128": "<f8",
         **{f"{u}int{n}": f"<{'u' if u else 'i'}{n // 8}"
            for u in ("", "u") for n in (8, 16, 32, 64)}}
SAFETENSORS = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16",
    "uint32": "U32", "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16",
    "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float4_e2m1fn": "F4", "float6_e2m3fn": "F6_E2M3", "float6_e3m2fn": "F6_E3M2",
}


def small_float(dtype, code):
    exponent, mantissa, bias, special = SMALL_FLOATS[dtype]
    sign = -1.0 if code >> (exponent + mantissa) else 1.0
    e = code >> mantissa & ((1 << exponent) - 1)
    m = code & ((1 << mantissa) - 1)
    if special == "ieee" and e == (1 << exponent) - 1:
        return sign * float("inf") if m == 0 else float("nan")
    if special == "ones" and code & 0x7f == 0x7f:
        return float("nan")
    if special == "zero" and sign < 0 and e == m == 0:
        return float("nan")
    if e == 0:
        return sign * m * 2.0 ** (1 - bias - mantissa)
    return sign * (1 + m / (1 << mantissa)) * 2.0 ** (e - bias)


def codes(data, width):
    """Packed patterns, the first in the lowest bits."""
    if width == 16:
        return np.frombuffer(data, "<u2")
    bits = np.unpackbits(np.frombuffer(data, "u1"), bitorder="little").reshape(-1, width)
    return (bits << np.arange(width, dtype="u1")).sum(axis=1)


def numbers(data, dtype):
    if dtype in PLAIN:
        return np.frombuffer(data, PLAIN[dtype]).astype("f8")
    if dtype == "float8_e8m0fnu":
        return np.array([float("nan") if b == 255 else 2.0 ** (b - 127) for b in data])
    width = WIDTHS.get(dtype, 16 if dtype == "bfloat16" else 8)
    table = np.array([small_float(dtype, code) for code in range(1 << width)])
    return table[codes(data, width)]


def write_safetensors(path, tensors, metadata=None):
    """tensors: {name: (dtype of ours, shape, bytes)}."""
    header, off = {"__metadata__": metadata} if metadata else {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": SAFETENSORS[dtype], "shape": shape,
                        "data_offsets": [off, off + len(data)]}
        off += len(data)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for _, _, data in tensors.values():
            file.write(data)
    return path

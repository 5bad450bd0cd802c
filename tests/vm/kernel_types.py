# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The type information (BTF) of a kernel image that is not running.

An x86 bzImage holds a compressed ELF file, an arm64 kernel is a compressed flat image; in both, once unpacked, the type
information lies in one piece that starts with its own header (include/uapi/linux/btf.h: magic, version, flags, length of
the header, then offset and length of types and strings, counted from the end of the header).
"""
import lzma
import os
import struct
import subprocess
import zlib

MAGIC = b"\x9f\xeb\x01\x00"  # little-endian 0xeb9f, version 1, no flags
# Parts of the kernel carry small ones of their own; the kernel's is megabytes.
LEAST_BYTES = 1 << 20


def unpack(data):
    """By its first bytes; what comes after the end of the compressed stream is not looked at."""
    if data.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(wbits=31).decompress(data)
    if data.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False).stdout
    return data


def payload(image):
    if image[0x202:0x206] == b"HdrS":  # Documentation/arch/x86/boot.rst: the compressed kernel within the image
        setup_sectors, = struct.unpack_from("<B", image, 0x1f1)
        offset, length = struct.unpack_from("<II", image, 0x248)
        start = ((setup_sectors or 4) + 1) * 512 + offset
        return image[start:start + length]
    if image[4:8] == b"zimg":  # drivers/firmware/efi/libstub/zboot-header.S
        offset, length = struct.unpack_from("<II", image, 8)
        return image[offset:offset + length]
    return image


def find(kernel):
    """The bytes, or b"" where there are none."""
    at = -1
    while (at := kernel.find(MAGIC, at + 1)) >= 0:
        head, types, types_bytes, strings, strings_bytes = struct.unpack_from("<IIIII", kernel, at + 4)
        size = head + max(types + types_bytes, strings + strings_bytes)
        first_string = at + head + strings
        if head >= 24 and LEAST_BYTES < size <= len(kernel) - at and kernel[first_string:first_string + 1] == b"\0":
            return kernel[at:at + size]
    return b""


def extract(image, to):
    """Write it to a file, unless it is there."""
    if not os.path.exists(to):
        with open(image, "rb") as file:
            types = find(unpack(payload(file.read())))
        if not types:
            raise ValueError("no type information in the kernel image")
        with open(to + ".new", "wb") as file:
            file.write(types)
        os.rename(to + ".new", to)
    return to

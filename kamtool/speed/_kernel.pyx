# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""The native kernel: what `pure.py` does, in C. Its docstrings there are the reference.

`_scan.pxi` follows the grammar, `_wire.pxi` makes messages. Memory is reached by pointers whose every use is
preceded by a comparison with the end of its span; nothing has a fixed size that input decides, but the stack array
that is given up for the heap when a message has more headers.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.limits cimport INT_MAX
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memchr, memcmp, memcpy, memset, strlen

from kamtool.errors import ParseError
from kamtool.speed.octets import Row as _Row, encode as _encode, unfold as _unfold
from kamtool.speed.details import PLAIN as _PLAIN
from kamtool.speed.names import HEADERS as _HEADERS, IDS as _IDS, METHODS as _METHODS, NAMES as _NAMES
from kamtool.speed.stepping import ENDED as _ENDED

cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char* text, Py_ssize_t size, const char* errors)
    str PyUnicode_DecodeASCII(const char* text, Py_ssize_t size, const char* errors)
    object PyUnicode_New(Py_ssize_t size, unsigned int largest)
    void* PyUnicode_DATA(object text)
    bint PyUnicode_IS_ASCII(object text)
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    int _PyBytes_Resize(PyObject** octets, Py_ssize_t size) except -1
    ctypedef struct PyObject
    PyObject* PyDict_GetItemWithError(object held, object key) except? NULL

include "_scan.pxi"
include "_names.pxi"
include "_index.pxi"
include "_parties.pxi"
include "_attributes.pxi"
include "_wire.pxi"
include "_values.pxi"
include "_answer.pxi"
include "_routes.pxi"
include "_md5.pxi"
include "_proof.pxi"
include "_binding.pxi"
include "_step.pxi"
include "_matching.pxi"
include "_calling.pxi"
include "_hops.pxi"
include "_cutting.pxi"
include "_checking.pxi"
include "_saying.pxi"

if __import__("sys").platform == "linux":
    try:
        from kamtool.speed._datagrams import recv_batch, send_batch
    except ImportError:
        from kamtool.speed.datagrams import recv_batch, send_batch
else:
    from kamtool.speed.datagrams import recv_batch, send_batch

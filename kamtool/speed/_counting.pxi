# Statistics, counted up without a Python frame. See counting.py.

def count(stats, tuple names not None):
    cdef PyObject* before
    if not PyDict_Check(stats):
        raise TypeError("statistics are kept in a dict")
    for name in names:
        before = PyDict_GetItemWithError(stats, name)
        PyDict_SetItem(stats, name, 1 if before == NULL else <object>before + 1)

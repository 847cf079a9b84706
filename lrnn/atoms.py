"""The columns of a dictionary's design matrix when there may be more than memory holds.

Greedy selection looks at every atom once a neuron. As many atoms as fit are kept; the others are
computed again each time, block by block, and never held together.
"""

import numpy as np

MEMORY = 2**29  # bytes of atoms that are kept
# Values that are computed at once, so that they stay in cache, and how many atoms they are of.
# Long rows are written and multiplied faster than short ones.
BLOCK, WIDTH = 2**17, 2**14


class Atoms:
    """N atoms at P points, (P, N), of which products are taken without all of them being held.

    A class because it fills its table in the first product, where the atoms are in cache.
    `lrnn.basis.evaluate` is the same matrix as a plain array, and checks its arguments.
    """

    def __init__(self, dictionary, kappa, memory=MEMORY):
        """Nothing is computed yet.

        dictionary : Basis of N functions without an input channel
        kappa : (P, R), points
        memory : float, bytes of atoms to keep; it changes the time, not the result
        """
        P, N = len(kappa), len(dictionary)
        # One product gives m kappa + bias.
        self._points = np.column_stack([kappa, np.ones(P)])
        self._weights = np.column_stack([dictionary.m, dictionary.bias]).T.copy()
        self._phi = dictionary.phi.function
        self._table = np.empty((P, min(int(memory / (8 * P)), N)))
        self._filled = False

    def __len__(self):
        """N."""
        return self._weights.shape[1]

    def column(self, index):
        """One atom, (P,)."""
        return self._phi(self._points @ self._weights[:, index])

    def products(self, vectors):
        """Each vector times each atom: (V, P) -> (V, N)."""
        return self._pass(vectors, None)

    def products_and_squares(self, vectors):
        """As `products`, and the squared lengths of the atoms: (V, P) -> (V, N), (N,)."""
        squares = np.zeros(len(self))
        return self._pass(vectors, squares), squares

    def _pass(self, vectors, squares):
        found = np.zeros((len(vectors), len(self)))
        for rows, columns, block in self._blocks():
            found[:, columns] += vectors[:, rows] @ block
            if squares is not None:
                squares[columns] += np.einsum("pn,pn->n", block, block)
        return found

    def _blocks(self):
        """Yield slices of the points and of the atoms, and the matrix there."""
        n_kept = self._table.shape[1]
        if self._filled:
            yield slice(None), slice(0, n_kept), self._table
        else:
            for rows, columns in self._parts(0, n_kept):
                yield rows, columns, self._compute(rows, columns, self._table[rows, columns])
            self._filled = n_kept > 0
        for rows, columns in self._parts(n_kept, len(self)):
            yield rows, columns, self._compute(rows, columns, None)

    def _parts(self, start, stop):
        for left in range(start, stop, WIDTH):
            columns = slice(left, min(left + WIDTH, stop))
            height = max(1, BLOCK // (columns.stop - left))
            for top in range(0, len(self._points), height):
                yield slice(top, top + height), columns

    def _compute(self, rows, columns, out):
        """The atoms at some of the points, written to `out` if given."""
        argument = self._points[rows] @ self._weights[:, columns]
        if isinstance(self._phi, np.ufunc):  # needs no memory of its own, whose first use is slow
            return self._phi(argument, out=argument if out is None else out)
        rates = self._phi(argument)
        if out is not None:
            out[...] = rates
        return rates

from cgru.engines._blas import Layer as Layer
from cgru.engines._blas import evaluate as evaluate

from cgru.engines._blas import Layer as Layer, evaluate as evaluate

from cgru.engines._backward import Layer as Layer

from cgru.engines._packed import FUSED as FUSED
from cgru.engines._packed import Layer as Layer
from cgru.engines._packed import aligned as aligned
from cgru.engines._packed import pack as pack

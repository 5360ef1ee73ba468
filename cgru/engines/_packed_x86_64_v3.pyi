from cgru.engines._packed import FUSED as FUSED, Layer as Layer, aligned as aligned, pack as pack

module @predicate_in_a_product {
  func.func public @main(%a: tensor<8xi32>, %b: tensor<8xi32>, %x: tensor<1x6x8x8xf32>) -> tensor<1x6x8x8xf32> {
    %row = stablehlo.broadcast_in_dim %a, dims = [0] : (tensor<8xi32>) -> tensor<8x8xi32>
    %column = stablehlo.broadcast_in_dim %b, dims = [1] : (tensor<8xi32>) -> tensor<8x8xi32>
    %mask = stablehlo.compare GE, %row, %column : (tensor<8x8xi32>, tensor<8x8xi32>) -> tensor<8x8xi1>
    %ones = stablehlo.convert %mask : (tensor<8x8xi1>) -> tensor<8x8xf32>
    %0 = stablehlo.dot_general %x, %ones, contracting_dims = [3] x [0] : (tensor<1x6x8x8xf32>, tensor<8x8xf32>) -> tensor<1x6x8x8xf32>
    return %0 : tensor<1x6x8x8xf32>
  }
}

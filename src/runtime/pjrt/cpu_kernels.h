// The kernels of runtime/kernels/cpu as custom calls.
#pragma once

#include <string>
#include <vector>

#include "runtime/pjrt/api.h"

namespace continuo::runtime::pjrt {

// Registers them with the plugin, once a process, and returns the names by which graphs call them;
// none where the plugin takes no custom calls. Before a program that calls one is compiled or
// loaded. Any thread.
//
// continuo.linear(x:[n,in], w:[out,in]) -> [n,out]
// continuo.linear(x:[n,in], w:[E,out,in], e:i32[]) -> [n,out], with w[e]: float32, row-major.
// continuo.attention(q:[R,T,Hq,D], k:[B,Hk,S,D], v:[B,Hk,S,V], slot, start, length:i32[R]
//                    [, sinks:[Hq]]) {scale, softcap:f32, window:i64} -> [R,T,Hq,Dv], Dv <= V:
// column t of row r sees positions up to start[r] + t of slot[r], and no others are read; values
// are the first Dv floats of v's lines; padding columns and idle rows are zero. Float32, row-major.
std::vector<std::string> register_cpu_kernels(const Api& api);

}  // namespace continuo::runtime::pjrt

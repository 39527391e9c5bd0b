// Every family file's entry. One line a family; registry.cc lists them in this order.
#pragma once

#include "models/registry.h"

namespace continuo::models {

extern const Family kLlama;
extern const Family kDeepSeek;
extern const Family kGptOss;
extern const Family kInternLm3;
extern const Family kMistral;
extern const Family kMixtral;
extern const Family kOlmoe;
extern const Family kQwen2;
extern const Family kQwen2Moe;
extern const Family kQwen3;
extern const Family kQwen3Moe;
extern const Family kSeedOss;
extern const Family kGemma;
extern const Family kGemma2;
extern const Family kGemma3Text;
extern const Family kSmolLm3;
extern const Family kOlmo2;
extern const Family kOlmo3;
extern const Family kArcee;
extern const Family kErnie45;
extern const Family kExaone4;
extern const Family kCohere;
extern const Family kCohere2;
extern const Family kPhi3;
extern const Family kGlm4;
extern const Family kStableLm;
extern const Family kStarcoder2;
extern const Family kGranite;
extern const Family kMiniCpm3;
extern const Family kMamba;
extern const Family kFalconMamba;
extern const Family kMamba2;
extern const Family kJamba;
extern const Family kBamba;
extern const Family kFalconH1;
extern const Family kGraniteMoeHybrid;
extern const Family kNemotronH;
extern const Family kZamba2;
extern const Family kPlamo2;
extern const Family kKimiLinear;
extern const Family kLfm2;
extern const Family kMiniMax;
extern const Family kOlmoHybrid;
extern const Family kQwen35;
extern const Family kQwen3Next;
extern const Family kRecurrentGemma;
extern const Family kRwkv7;

}  // namespace continuo::models

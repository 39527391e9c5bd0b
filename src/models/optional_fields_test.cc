// Fields that a config may leave out, or set to null or 0: the parts they stand for are there or
// not as in the reference.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "models/model_parameters_test.h"

namespace continuo::models {
namespace {

using nlohmann::json;

json without(json config, const std::string& field) {
  config.erase(field);
  return config;
}

json with(json config, const std::string& field, const json& value) {
  config[field] = value;
  return config;
}

// What transformers builds of a value and cannot run: experts, groups, heads and windows that do
// not fit the rest of the case, or a factor that is none; and a head_dim of 0, which few of its
// classes take for absent. An error says so here.
const std::set<std::string>& unusable() {
  static const std::set<std::string> kAll{"num_key_value_heads absent",
                                          "num_experts_per_tok absent",
                                          "num_experts_per_tok null",
                                          "num_experts_per_tok 0",
                                          "n_group absent",
                                          "topk_group absent",
                                          "sliding_window null",
                                          "sliding_window 0",
                                          "layers_block_type absent",
                                          "layers_block_type null",
                                          "moe_shared_expert_intermediate_size 0",
                                          "head_dim 0",
                                          "mamba_d_state 0",
                                          "mamba_n_groups 0",
                                          "mamba_expand 0",
                                          "logit_scale null",
                                          "logits_scaling 0",
                                          "dim_model_base 0"};
  return kAll;
}

// transformers has shared experts however many are said to be there.
const char* const kAbsentHere = "nemotron_h, n_shared_experts 0";

class OptionalFields : public testing::Test {
 protected:
  void compare(const std::string& golden, const std::string& field, const json& added) {
    const json config = read_golden_json(golden + "/config.json");
    const auto before = count_parameters(config);
    ASSERT_TRUE(before.ok()) << golden << ": " << before.error().message;
    const std::pair<const char*, json> edits[] = {{" absent", without(config, field)},
                                                  {" null", with(config, field, nullptr)},
                                                  {" 0", with(config, field, 0)}};
    for (size_t i = 0; i < 3; ++i) {
      const std::string value = field + edits[i].first, where = golden + ", " + value;
      const auto after = count_parameters(edits[i].second);
      if (added.at(i).is_null() || where == kAbsentHere) continue;  // it is enough not to crash
      if (after.ok())
        EXPECT_EQ(*after - *before, added.at(i).get<int64_t>()) << where;
      else if (unusable().contains(value))
        refused_.insert(value);
      else
        ADD_FAILURE() << where << ": " << after.error().message;
    }
  }

  std::set<std::string> refused_;
};

// optional_fields.json says what a field that is absent, null or 0 adds to the family's case in
// transformers, and null where that builds no model (generate/optional_fields.py).
TEST_F(OptionalFields, AddWhatTheReferenceAdds) {
  const json expected = read_golden_json("optional_fields.json");
  ASSERT_GT(expected.size(), 35U);
  for (const auto& [golden, fields] : expected.items())
    for (const auto& [field, added] : fields.items()) compare(golden, field, added);
  EXPECT_EQ(refused_, unusable());
}

}  // namespace
}  // namespace continuo::models

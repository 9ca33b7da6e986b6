#include "controller/service_cidrs.h"

#include <gtest/gtest.h>

namespace knarr::controller {
namespace {

std::vector<Cidr> Networks(const std::vector<std::string_view>& texts) {
  std::vector<Cidr> out;
  for (const std::string_view text : texts) out.push_back(MUST(Cidr::Parse(text)));
  return out;
}

TEST(ServiceCidrs, GoWhenNoAddressIsLeftAlone) {
  struct Case {
    std::vector<std::string_view> networks;
    std::vector<std::string_view> others;
    std::vector<std::string_view> addresses;
    bool may_go;
  };
  const Case cases[] = {
      {{"10.1.0.0/16"}, {}, {}, true},
      {{"10.1.0.0/16"}, {}, {"10.1.2.3"}, false},
      {{"10.1.0.0/16"}, {}, {"10.2.2.3", "fd00::1"}, true},
      {{"10.1.0.0/16"}, {"10.1.0.0/16"}, {"10.1.2.3"}, true},
      {{"10.1.0.0/16"}, {"10.0.0.0/8"}, {"10.1.2.3"}, true},
      {{"10.1.0.0/16"}, {"10.1.2.0/24"}, {"10.1.2.3"}, true},
      {{"10.1.0.0/16"}, {"10.1.2.0/24"}, {"10.1.2.3", "10.1.3.3"}, false},
      {{"10.1.0.0/16", "fd00::/64"}, {"10.1.0.0/16"}, {"10.1.2.3"}, true},
      {{"10.1.0.0/16", "fd00::/64"}, {"10.1.0.0/16"}, {"fd00::7"}, false},
  };
  for (const Case& test : cases) {
    std::vector<IpAddress> addresses;
    for (const std::string_view text : test.addresses) addresses.push_back(MUST(IpAddress::Parse(text)));
    EXPECT_EQ(MayGo(Networks(test.networks), Networks(test.others), addresses), test.may_go) << test.networks[0];
  }
}

}  // namespace
}  // namespace knarr::controller

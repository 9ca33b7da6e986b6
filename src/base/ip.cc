#include "base/ip.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/strings.h"

namespace knarr {
namespace {

constexpr size_t kGroups = 8;

bool IsDecimal(char c) { return c >= '0' && c <= '9'; }

int HexDigit(char c) {
  if (IsDecimal(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Reads one address; `whole` is what messages quote.
class AddressParser {
 public:
  explicit AddressParser(std::string_view text) : whole_(text), rest_(text) {}

  Result<IpAddress> ParseV4() {
    uint32_t value = TRY(DottedQuad(whole_));
    return IpAddress::V4(value);
  }

  Result<IpAddress> ParseV6() {
    if (whole_.find('%') != std::string_view::npos) return Error("zones are not allowed");
    if (rest_.starts_with("::")) {
      gap_ = 0;
      rest_.remove_prefix(2);
    }
    while (!rest_.empty() && count_ < kGroups) TRY(Group());
    if (!rest_.empty()) return Error("trailing garbage after address", rest_);
    if (count_ == kGroups && gap_ >= 0) return Error("the :: must expand to at least one field of zeros");
    if (count_ < kGroups && gap_ < 0) return Error("address string too short");
    return Assemble();
  }

 private:
  Status Error(std::string_view message) const {
    return BadRequest("ParseAddr(" + GoQuote(whole_) + "): " + std::string(message));
  }
  Status Error(std::string_view message, std::string_view at) const {
    return BadRequest(Error(message).message() + " (at " + GoQuote(at) + ")");
  }

  Result<uint32_t> DottedQuad(std::string_view text) const {
    uint32_t value = 0;
    uint32_t octet = 0;
    int octets = 0;
    size_t digits = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      if (IsDecimal(text[i])) {
        if (digits == 1 && octet == 0) return Error("IPv4 field has octet with leading zero");
        octet = octet * 10 + static_cast<uint32_t>(text[i] - '0');
        ++digits;
        if (octet > 255) return Error("IPv4 field has value >255");
      } else if (text[i] == '.') {
        if (digits == 0 || i + 1 == text.size()) {
          return Error("IPv4 field must have at least one digit", text.substr(i));
        }
        if (octets == 3) return Error("IPv4 address too long");
        value = value << 8 | octet;
        ++octets;
        octet = 0;
        digits = 0;
      } else {
        return Error("unexpected character", text.substr(i));
      }
    }
    if (octets < 3) return Error("IPv4 address too short");
    return value << 8 | octet;
  }

  // One group of hex digits, or the dotted quad at the end, and the colons behind it.
  Ok Group() {
    size_t length = 0;
    uint32_t value = 0;
    while (length < rest_.size() && HexDigit(rest_[length]) >= 0) {
      if (length == 4) return Error("each group must have 4 or less digits", rest_);
      value = value << 4 | static_cast<uint32_t>(HexDigit(rest_[length]));
      ++length;
    }
    if (length == 0) return Error("each colon-separated field must have at least one digit", rest_);
    if (length < rest_.size() && rest_[length] == '.') return EmbeddedV4();
    groups_[count_++] = static_cast<uint16_t>(value);
    const std::string_view after = rest_.substr(length);
    if (after.empty()) {
      rest_ = after;
      return {};
    }
    if (after[0] != ':') return Error("unexpected character, want colon", after);
    if (after.size() == 1) return Error("colon must be followed by more characters", after);
    rest_ = after.substr(1);
    if (rest_[0] != ':') return {};
    if (gap_ >= 0) return Error("multiple :: in address", rest_);
    gap_ = static_cast<int>(count_);
    rest_.remove_prefix(1);
    return {};
  }

  Ok EmbeddedV4() {
    if (gap_ < 0 && count_ != kGroups - 2) {
      return Error("embedded IPv4 address must replace the final 2 fields of the address", rest_);
    }
    if (count_ + 2 > kGroups) {
      return Error("too many hex fields to fit an embedded IPv4 at the end of the address", rest_);
    }
    const uint32_t value = TRY(DottedQuad(rest_));
    groups_[count_++] = static_cast<uint16_t>(value >> 16);
    groups_[count_++] = static_cast<uint16_t>(value);
    rest_ = {};
    return {};
  }

  IpAddress Assemble() const {
    std::array<uint8_t, 16> bytes{};
    const size_t before = gap_ < 0 ? count_ : static_cast<size_t>(gap_);
    for (size_t i = 0; i < count_; ++i) {
      const size_t at = i < before ? i : kGroups - (count_ - i);
      bytes[at * 2] = static_cast<uint8_t>(groups_[i] >> 8);
      bytes[at * 2 + 1] = static_cast<uint8_t>(groups_[i]);
    }
    return IpAddress::V6(bytes);
  }

  std::string_view whole_;
  std::string_view rest_;
  std::array<uint16_t, kGroups> groups_{};
  size_t count_ = 0;
  int gap_ = -1;  // where "::" stands, in groups
};

std::string FormatV4(uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (!text.empty()) text += '.';
    text += std::to_string(value >> shift & 0xff);
  }
  return text;
}

std::string HexGroup(uint32_t value) {
  std::string text;
  for (int shift = 12; shift >= 0; shift -= 4) {
    const uint32_t digit = value >> shift & 0xf;
    if (digit == 0 && text.empty() && shift > 0) continue;
    text += "0123456789abcdef"[digit];
  }
  return text;
}

Status BadCidr(std::string_view text) { return BadRequest("invalid CIDR address: " + std::string(text)); }

}  // namespace

IpAddress IpAddress::V4(uint32_t host_order) {
  IpAddress address;
  for (size_t i = 0; i < 4; ++i) address.bytes_[i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return address;
}

IpAddress IpAddress::V6(const std::array<uint8_t, 16>& bytes) {
  IpAddress address;
  address.family_ = IpFamily::kIpv6;
  address.bytes_ = bytes;
  return address;
}

Result<IpAddress> IpAddress::Parse(std::string_view text) {
  const size_t at = text.find_first_of(".:%");
  if (at == std::string_view::npos) return BadRequest("ParseAddr(" + GoQuote(text) + "): unable to parse IP");
  if (text[at] == '%') return BadRequest("ParseAddr(" + GoQuote(text) + "): missing IPv6 address");
  return text[at] == '.' ? AddressParser(text).ParseV4() : AddressParser(text).ParseV6();
}

std::string_view IpAddress::bytes() const {
  return {reinterpret_cast<const char*>(bytes_.data()), is_v4() ? size_t{4} : size_t{16}};
}

uint32_t IpAddress::v4() const {
  CHECK(is_v4());
  return static_cast<uint32_t>(bytes_[0]) << 24 | static_cast<uint32_t>(bytes_[1]) << 16 |
         static_cast<uint32_t>(bytes_[2]) << 8 | bytes_[3];
}

std::string IpAddress::ToString() const {
  if (is_v4()) return FormatV4(v4());
  if (IsV4InV6()) return "::ffff:" + FormatV4(Unmap().v4());
  std::array<uint32_t, kGroups> groups{};
  for (size_t i = 0; i < kGroups; ++i) groups[i] = static_cast<uint32_t>(bytes_[2 * i]) << 8 | bytes_[2 * i + 1];
  // The first longest run of at least two zero groups becomes "::".
  size_t run_start = kGroups;
  size_t run_length = 1;
  for (size_t i = 0; i < kGroups; ++i) {
    size_t end = i;
    while (end < kGroups && groups[end] == 0) ++end;
    if (end - i > run_length) {
      run_start = i;
      run_length = end - i;
    }
    if (end > i) i = end - 1;
  }
  std::string text;
  for (size_t i = 0; i < kGroups; ++i) {
    if (i == run_start) {
      text += "::";
      i += run_length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    text += HexGroup(groups[i]);
  }
  return text;
}

std::string IpAddress::ToHostPort(int port) const { return JoinHostPort(ToString(), port); }

bool IpAddress::IsUnspecified() const {
  return std::ranges::all_of(bytes_, [](uint8_t byte) { return byte == 0; });
}

bool IpAddress::IsLoopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return bytes_[15] == 1 && std::all_of(bytes_.begin(), bytes_.begin() + 15, [](uint8_t byte) { return byte == 0; });
}

bool IpAddress::IsMulticast() const { return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff; }

bool IpAddress::IsLinkLocalUnicast() const {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::IsLinkLocalMulticast() const {
  if (is_v4()) return bytes_[0] == 224 && bytes_[1] == 0 && bytes_[2] == 0;
  return bytes_[0] == 0xff && (bytes_[1] & 0x0f) == 0x02;
}

bool IpAddress::IsV4InV6() const {
  return is_v6() && bytes_[10] == 0xff && bytes_[11] == 0xff &&
         std::all_of(bytes_.begin(), bytes_.begin() + 10, [](uint8_t byte) { return byte == 0; });
}

IpAddress IpAddress::Unmap() const {
  if (!IsV4InV6()) return *this;
  IpAddress address;
  std::copy(bytes_.begin() + 12, bytes_.end(), address.bytes_.begin());
  return address;
}

IpAddress IpAddress::operator+(uint64_t offset) const {
  if (is_v4()) return V4(v4() + static_cast<uint32_t>(offset));
  IpAddress sum = *this;
  for (size_t i = 16; i > 0 && offset > 0; --i) {
    // The byte's sum fits: offset loses its low byte before the carry is added.
    const uint64_t byte = sum.bytes_[i - 1] + (offset & 0xff);
    sum.bytes_[i - 1] = static_cast<uint8_t>(byte);
    offset = (offset >> 8) + (byte >> 8);
  }
  return sum;
}

uint64_t IpAddress::DistanceFrom(const IpAddress& other) const {
  constexpr uint64_t kTooFar = std::numeric_limits<uint64_t>::max();
  if (family_ != other.family_ || *this < other) return kTooFar;
  if (is_v4()) return v4() - other.v4();
  uint64_t distance = 0;
  int borrow = 0;
  for (size_t i = 16; i > 0; --i) {
    int byte = bytes_[i - 1] - other.bytes_[i - 1] - borrow;
    borrow = byte < 0 ? 1 : 0;
    if (byte < 0) byte += 256;
    if (i > 8) {
      distance |= static_cast<uint64_t>(byte) << (8 * (16 - i));
    } else if (byte != 0) {
      return kTooFar;
    }
  }
  return distance;
}

Cidr::Cidr(IpAddress address, int prefix) : address_(address), prefix_(prefix) {
  CHECK(prefix >= 0 && prefix <= address.bits());
}

Result<Cidr> Cidr::Parse(std::string_view text) {
  const auto parts = Cut(text, "/");
  if (!parts) return BadCidr(text);
  const auto [address_text, prefix_text] = *parts;
  const Result<IpAddress> address = IpAddress::Parse(address_text);
  if (!address.ok()) return BadCidr(text);
  const bool digits = !prefix_text.empty() && prefix_text.size() <= 3 && std::ranges::all_of(prefix_text, IsDecimal);
  if (!digits || (prefix_text.size() > 1 && prefix_text[0] == '0')) return BadCidr(text);
  const int prefix = MUST(ParseAtoi(prefix_text));  // at most three digits
  if (prefix > address->bits()) return BadCidr(text);
  return Cidr(*address, prefix);
}

IpAddress Cidr::Network() const {
  IpAddress network = address_;
  for (int bit = prefix_; bit < address_.bits(); ++bit) {
    network.bytes_[static_cast<size_t>(bit / 8)] &= static_cast<uint8_t>(~(0x80 >> bit % 8));
  }
  return network;
}

IpAddress Cidr::Last() const {
  IpAddress last = address_;
  for (int bit = prefix_; bit < address_.bits(); ++bit) {
    last.bytes_[static_cast<size_t>(bit / 8)] |= static_cast<uint8_t>(0x80 >> bit % 8);
  }
  return last;
}

uint64_t Cidr::Size() const {
  const int host_bits = address_.bits() - prefix_;
  return host_bits >= 64 ? std::numeric_limits<uint64_t>::max() : uint64_t{1} << host_bits;
}

IpAddress Cidr::At(uint64_t index) const {
  CHECK(index < Size());
  return Network() + index;
}

bool Cidr::Contains(const IpAddress& address) const {
  return address.family() == family() && Cidr(address, prefix_).Network() == Network();
}

bool Cidr::Contains(const Cidr& other) const { return other.prefix_ >= prefix_ && Contains(other.address_); }

bool Cidr::Overlaps(const Cidr& other) const { return Contains(other.address_) || other.Contains(address_); }

Result<Cidr> Cidr::Subnet(int prefix, uint64_t index) const {
  const int extra = prefix - prefix_;
  const bool there = extra >= 0 && prefix <= address_.bits() && (extra >= 64 || index < uint64_t{1} << extra);
  if (!there) {
    return BadRequest(ToString() + " has no subnet number " + std::to_string(index) + " of " + std::to_string(prefix) +
                      " bits");
  }
  // Sets the `index` bit by bit, as it can lie anywhere in 128 bits.
  Cidr subnet(Network(), prefix);
  for (int bit = 0; bit < 64 && bit < extra; ++bit) {
    if ((index >> bit & 1) == 0) continue;
    const int at = prefix - 1 - bit;
    subnet.address_.bytes_[static_cast<size_t>(at / 8)] |= static_cast<uint8_t>(0x80 >> at % 8);
  }
  return subnet;
}

std::string Cidr::ToString() const { return address_.ToString() + "/" + std::to_string(prefix_); }

Result<HostPort> SplitHostPort(std::string_view text) {
  const auto error = [&](std::string_view why) {
    return BadRequest((text.empty() ? std::string() : "address " + std::string(text) + ": ") + std::string(why));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return error("missing port in address");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (text[0] == '[') {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return error("missing ']' in address");
    if (end + 1 == text.size()) return error("missing port in address");
    if (end + 1 != colon) return error(text[end + 1] == ':' ? "too many colons in address" : "missing port in address");
    host = text.substr(1, end - 1);
  } else if (host.find(':') != std::string_view::npos) {
    return error("too many colons in address");
  }
  if (host.find('[') != std::string_view::npos || port.find('[') != std::string_view::npos) {
    return error("unexpected '[' in address");
  }
  if (host.find(']') != std::string_view::npos || port.find(']') != std::string_view::npos) {
    return error("unexpected ']' in address");
  }
  return HostPort{.host = std::string(host), .port = std::string(port)};
}

std::string JoinHostPort(std::string_view host, int port) {
  std::string text(host);
  if (host.find(':') != std::string_view::npos) text = "[" + text + "]";
  return text + ":" + std::to_string(port);
}

}  // namespace knarr

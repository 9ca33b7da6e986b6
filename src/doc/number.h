#pragma once

// Floating-point numbers as Go prints them: the fewest digits that read back as the same number.

#include <string>

namespace knarr::doc {

/// As encoding/json: plain digits for 1e-6 ≤ |d| < 1e21, an exponent otherwise ("1e+21", "1e-7"). REQUIRES: finite.
void AppendJsonFloat(double number, std::string& out);
/// As strconv's 'g' format with shortest precision: "1.5", "1e+06", "1e-05". REQUIRES: finite.
void AppendShortestFloat(double number, std::string& out);
/// The same for a number of single precision.
void AppendShortestFloat(float number, std::string& out);

}  // namespace knarr::doc

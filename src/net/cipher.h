#pragma once

// Sealing bytes with a secret key (OpenSSL): what encryption at rest is made of. Any thread.

#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr::net {

/// AES-GCM with a key of 16, 24 or 32 bytes: a random nonce (12 bytes), the ciphertext, a tag (16). `authenticated` is
/// not in it but must be the same when it is opened. Keys are good for about 2^32 messages.
Result<std::string> SealAesGcm(std::string_view key, std::string_view plain, std::string_view authenticated);
/// BadRequest when it was not sealed with this key for this `authenticated`.
Result<std::string> OpenAesGcm(std::string_view key, std::string_view sealed, std::string_view authenticated);

/// AES-CBC: a random first block (16 bytes), the ciphertext, padded as PKCS #7. Nothing tells that it was changed.
Result<std::string> SealAesCbc(std::string_view key, std::string_view plain);
Result<std::string> OpenAesCbc(std::string_view key, std::string_view sealed);

/// Bytes that nobody can guess: keys.
Result<std::string> SecretBytes(size_t count);

}  // namespace knarr::net

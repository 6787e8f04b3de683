#include "image/digest.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nettle/nettle-meta.h>
#include <nettle/sha2.h>
#include <vector>

namespace strata::image {
namespace {

struct Algorithm {
    std::string_view name;
    std::size_t digits;
    const nettle_hash* implementation;
};

constexpr std::array algorithms{Algorithm{"sha256", 64, &nettle_sha256},
                                Algorithm{"sha512", 128, &nettle_sha512}};

const Algorithm* find_algorithm(std::string_view name) {
    const auto found = std::ranges::find(algorithms, name, &Algorithm::name);
    return found == algorithms.end() ? nullptr : &*found;
}

bool is_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

} // namespace

Result<Digest> Digest::parse(std::string_view text) {
    const auto colon = text.find(':');
    const Algorithm* algorithm = find_algorithm(text.substr(0, colon));
    if (colon == std::string_view::npos || algorithm == nullptr) {
        return fail(fmt::format("'{}' is not a digest", text.substr(0, 200)),
                    "a digest is sha256: and 64 hexadecimal digits, or sha512: and 128");
    }
    const auto hex = text.substr(colon + 1);
    if (hex.size() != algorithm->digits || !std::ranges::all_of(hex, is_digit)) {
        return fail(fmt::format("digest '{}' does not have {} lower-case hexadecimal digits",
                                text.substr(0, 200), algorithm->digits));
    }
    return Digest(std::string(text));
}

Digest Digest::of(std::string_view data) {
    Hasher hasher;
    hasher.update(std::as_bytes(std::span(data)));
    return hasher.digest();
}

std::string_view Digest::algorithm() const { return std::string_view(text_).substr(0, text_.find(':')); }

std::string_view Digest::hex() const { return std::string_view(text_).substr(text_.find(':') + 1); }

struct Hasher::State {
    const Algorithm* algorithm;
    std::vector<std::byte> context; // plain data, which may be copied

    explicit State(const Algorithm* which) : algorithm(which), context(which->implementation->context_size) {
        algorithm->implementation->init(context.data());
    }
};

Hasher::Hasher(std::string_view algorithm) {
    const Algorithm* known = find_algorithm(algorithm);
    state_ = std::make_unique<State>(known != nullptr ? known : algorithms.data());
}

Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::span<const std::byte> data) {
    state_->algorithm->implementation->update(state_->context.data(), data.size(),
                                              reinterpret_cast<const std::uint8_t*>(data.data()));
}

Digest Hasher::digest() const {
    const auto& hash = *state_->algorithm->implementation;
    auto context = state_->context;
    std::array<std::uint8_t, SHA512_DIGEST_SIZE> value{}; // the longest
    hash.digest(context.data(), hash.digest_size, value.data());
    std::string text = std::string(state_->algorithm->name) + ":";
    for (unsigned i = 0; i < hash.digest_size; ++i) {
        fmt::format_to(std::back_inserter(text), "{:02x}", value[i]);
    }
    return Digest(std::move(text));
}

} // namespace strata::image

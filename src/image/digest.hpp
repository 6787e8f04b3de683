// Content digests: OCI image specification, "Descriptors", section "Digests".
#pragma once

#include "base/error.hpp"

#include <compare>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace strata::image {

// "sha256:" or "sha512:" and that many lower-case hexadecimal digits; a default one is empty.
class Digest {
public:
    Digest() = default;

    [[nodiscard]] static Result<Digest> parse(std::string_view text);
    // The SHA-256 digest of `data`.
    [[nodiscard]] static Digest of(std::string_view data);

    [[nodiscard]] const std::string& text() const { return text_; }

    [[nodiscard]] std::string_view algorithm() const;
    [[nodiscard]] std::string_view hex() const;

    // What lists show: twelve digits.
    [[nodiscard]] std::string short_hex() const { return std::string(hex().substr(0, 12)); }

    [[nodiscard]] bool empty() const { return text_.empty(); }

    auto operator<=>(const Digest&) const = default;

private:
    friend class Hasher;

    explicit Digest(std::string text) : text_(std::move(text)) {}

    std::string text_;
};

// Takes data piece by piece.
class Hasher {
public:
    // `algorithm` as Digest::algorithm() gives it.
    explicit Hasher(std::string_view algorithm = "sha256");
    ~Hasher();
    Hasher(Hasher&&) noexcept;
    Hasher& operator=(Hasher&&) noexcept;
    Hasher(const Hasher&) = delete;
    Hasher& operator=(const Hasher&) = delete;

    void update(std::span<const std::byte> data);
    // The digest of all that came so far.
    [[nodiscard]] Digest digest() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace strata::image

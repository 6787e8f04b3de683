// Reading archives and compressed streams, by libarchive.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

struct archive;
struct archive_entry;

namespace strata::image {

// Gives the next piece of a stream, empty at its end. The piece is valid until the next call.
using Source = std::function<Result<std::span<const std::byte>>()>;

// The bytes of an open file, from where it stands.
[[nodiscard]] Source file_source(int fd, std::string name);

// Decompresses gzip, zstd, xz and bzip2; anything else comes through as it is.
[[nodiscard]] Result<Source> decompressed(Source source, std::string name);

// A tar archive, entry by entry.
class TarReader {
public:
    [[nodiscard]] static Result<TarReader> open(Source source, std::string name);
    ~TarReader();
    TarReader(TarReader&&) noexcept;
    TarReader& operator=(TarReader&&) = delete;
    TarReader(const TarReader&) = delete;
    TarReader& operator=(const TarReader&) = delete;

    // The next entry, owned by the reader and valid until the next call; null at the end.
    [[nodiscard]] Result<archive_entry*> next();

    struct Block {
        std::span<const std::byte> data; // empty at the end of the entry
        std::uint64_t offset = 0;        // what lies between blocks is a hole
    };

    // The next piece of the entry's content.
    [[nodiscard]] Result<Block> read();

private:
    struct State;
    explicit TarReader(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace strata::image

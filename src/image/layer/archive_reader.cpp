#include "image/layer/archive_reader.hpp"

#include "image/layer/utf8_locale.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace strata::image {
namespace {

struct FreeArchive {
    void operator()(archive* reader) const { archive_read_free(reader); }
};

using ArchivePointer = std::unique_ptr<archive, FreeArchive>;

// What libarchive's callback needs, at an address that stays.
struct Feed {
    Source source;
    std::string name;
    Error error{}; // the source's own, when it failed

    [[nodiscard]] std::unexpected<Error> failure(archive* reader) const {
        if (!error.message.empty()) {
            return std::unexpected(error);
        }
        const char* text = archive_error_string(reader);
        return fail(fmt::format("{}: {}", name, text != nullptr ? text : "cannot be read"));
    }
};

la_ssize_t feed_archive(archive* reader, void* context, const void** buffer) {
    auto& feed = *static_cast<Feed*>(context);
    const auto piece = feed.source();
    if (!piece) {
        feed.error = piece.error();
        archive_set_error(reader, EIO, "%s", feed.error.message.c_str());
        return -1;
    }
    *buffer = piece->data();
    return static_cast<la_ssize_t>(piece->size());
}

// A stream without entries: libarchive shows it as one, whose content is all there is.
struct Decompressor {
    Feed feed;
    ArchivePointer reader{archive_read_new()};
    bool begun = false;

    Result<std::span<const std::byte>> next() {
        if (!begun) {
            archive_entry* entry = nullptr;
            const int status = archive_read_next_header(reader.get(), &entry);
            if (status == ARCHIVE_EOF) {
                return std::span<const std::byte>{};
            }
            if (status < ARCHIVE_WARN) {
                return feed.failure(reader.get());
            }
            begun = true;
        }
        const void* data = nullptr;
        std::size_t size = 0;
        la_int64_t offset = 0;
        int status = ARCHIVE_OK;
        do {
            status = archive_read_data_block(reader.get(), &data, &size, &offset);
        } while (status == ARCHIVE_OK && size == 0);
        if (status == ARCHIVE_EOF) {
            return std::span<const std::byte>{};
        }
        if (status < ARCHIVE_WARN) {
            return feed.failure(reader.get());
        }
        return std::span(static_cast<const std::byte*>(data), size);
    }
};

} // namespace

Source file_source(int fd, std::string name) {
    auto buffer = std::make_shared<std::vector<std::byte>>(256U << 10);
    return [fd, name = std::move(name), buffer]() -> Result<std::span<const std::byte>> {
        while (true) {
            const auto got = ::read(fd, buffer->data(), buffer->size());
            if (got >= 0) {
                return std::span<const std::byte>(*buffer).first(static_cast<std::size_t>(got));
            }
            if (errno != EINTR) {
                return fail_errno("read", name);
            }
        }
    };
}

Result<Source> decompressed(Source source, std::string name) {
    auto state = std::make_shared<Decompressor>(Decompressor{.feed = {std::move(source), std::move(name)}});
    archive* reader = state->reader.get();
    // Not all that the library can: for rare formats it runs programs.
    archive_read_support_filter_gzip(reader);
    archive_read_support_filter_zstd(reader);
    archive_read_support_filter_xz(reader);
    archive_read_support_filter_bzip2(reader);
    archive_read_support_format_raw(reader);
    archive_read_support_format_empty(reader);
    if (archive_read_open(reader, &state->feed, nullptr, feed_archive, nullptr) != ARCHIVE_OK) {
        return state->feed.failure(reader);
    }
    return Source([state] { return state->next(); });
}

struct TarReader::State {
    Feed feed;
    ArchivePointer reader{archive_read_new()};
};

TarReader::TarReader(std::unique_ptr<State> state) : state_(std::move(state)) {}

TarReader::~TarReader() = default;
TarReader::TarReader(TarReader&&) noexcept = default;

Result<TarReader> TarReader::open(Source source, std::string name) {
    auto state = std::make_unique<State>(State{.feed = {std::move(source), std::move(name)}});
    archive* reader = state->reader.get();
    archive_read_support_format_tar(reader);
    archive_read_support_format_empty(reader);
    if (archive_read_open(reader, &state->feed, nullptr, feed_archive, nullptr) != ARCHIVE_OK) {
        return state->feed.failure(reader);
    }
    return TarReader(std::move(state));
}

Result<archive_entry*> TarReader::next() {
    const Utf8Locale names;
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(state_->reader.get(), &entry);
    if (status == ARCHIVE_EOF) {
        return nullptr;
    }
    if (status < ARCHIVE_WARN) {
        return state_->feed.failure(state_->reader.get());
    }
    return entry;
}

Result<TarReader::Block> TarReader::read() {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    int status = ARCHIVE_OK;
    do {
        status = archive_read_data_block(state_->reader.get(), &data, &size, &offset);
    } while (status == ARCHIVE_OK && size == 0);
    if (status == ARCHIVE_EOF) {
        return Block{};
    }
    if (status < ARCHIVE_WARN) {
        return state_->feed.failure(state_->reader.get());
    }
    return Block{std::span(static_cast<const std::byte*>(data), size), static_cast<std::uint64_t>(offset)};
}

} // namespace strata::image

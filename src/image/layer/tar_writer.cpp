#include "image/layer/tar_writer.hpp"

#include "image/layer/utf8_locale.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace strata::image {
namespace {

struct FreeArchive {
    void operator()(archive* writer) const { archive_write_free(writer); }
};

struct FreeEntry {
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

} // namespace

struct TarWriter::State {
    Sink sink;
    Error error{};
    std::unique_ptr<archive, FreeArchive> writer{archive_write_new()};

    static la_ssize_t take(archive* writer, void* context, const void* data, std::size_t size) {
        auto& state = *static_cast<State*>(context);
        const auto taken = state.sink(std::span(static_cast<const std::byte*>(data), size));
        if (!taken) {
            state.error = taken.error();
            archive_set_error(writer, EIO, "%s", state.error.message.c_str());
            return -1;
        }
        return static_cast<la_ssize_t>(size);
    }
};

TarWriter::TarWriter(Sink sink) : state_(std::make_unique<State>(State{.sink = std::move(sink)})) {
    archive* writer = state_->writer.get();
    archive_write_set_format_pax_restricted(writer);
    archive_write_set_bytes_per_block(writer, 64 << 10);
    archive_write_set_bytes_in_last_block(writer, 1);
    archive_write_open(writer, state_.get(), nullptr, State::take, nullptr);
}

TarWriter::~TarWriter() = default;
TarWriter::TarWriter(TarWriter&&) noexcept = default;

std::unexpected<Error> TarWriter::failure() const {
    if (!state_->error.message.empty()) {
        return std::unexpected(state_->error);
    }
    const char* text = archive_error_string(state_->writer.get());
    return fail(fmt::format("cannot write an archive: {}", text != nullptr ? text : "unknown reason"));
}

Result<void> TarWriter::begin_entry(archive_entry* entry) {
    const Utf8Locale names;
    if (archive_write_header(state_->writer.get(), entry) < ARCHIVE_WARN) {
        return failure();
    }
    return {};
}

Result<void> TarWriter::write(std::span<const std::byte> data) {
    while (!data.empty()) {
        const auto done = archive_write_data(state_->writer.get(), data.data(), data.size());
        if (done <= 0) {
            return done < 0 ? failure() : fail("cannot write an archive: an entry is longer than it was");
        }
        data = data.subspan(static_cast<std::size_t>(done));
    }
    return {};
}

Result<void> TarWriter::finish() {
    if (archive_write_close(state_->writer.get()) != ARCHIVE_OK) {
        return failure();
    }
    return {};
}

Result<void> TarWriter::begin_file(const std::string& name, std::uint64_t size) {
    const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_mode(entry.get(), S_IFREG | 0444);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
    archive_entry_set_mtime(entry.get(), 0, 0);
    return begin_entry(entry.get());
}

Result<void> TarWriter::add_file(const std::string& name, std::string_view content) {
    if (auto begun = begin_file(name, content.size()); !begun) {
        return begun;
    }
    return write(std::as_bytes(std::span(content)));
}

Result<void> TarWriter::add_file(const std::string& name, std::uint64_t size, const Source& content) {
    if (auto begun = begin_file(name, size); !begun) {
        return begun;
    }
    while (true) {
        const auto piece = content();
        if (!piece) {
            return std::unexpected(piece.error());
        }
        if (piece->empty()) {
            return {};
        }
        if (auto written = write(*piece); !written) {
            return written;
        }
    }
}

} // namespace strata::image

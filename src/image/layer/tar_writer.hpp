// Writing tar archives (POSIX pax where ustar is too narrow), by libarchive. Equal content gives equal bytes.
#pragma once

#include "image/layer/archive_reader.hpp"
#include "image/layer/compressor.hpp"

#include <memory>
#include <string>

namespace strata::image {

class TarWriter {
public:
    explicit TarWriter(Sink sink);
    ~TarWriter();
    TarWriter(TarWriter&&) noexcept;
    TarWriter& operator=(TarWriter&&) = delete;
    TarWriter(const TarWriter&) = delete;
    TarWriter& operator=(const TarWriter&) = delete;

    // An entry of any kind; then its content, if it has any.
    [[nodiscard]] Result<void> begin_entry(archive_entry* entry);
    [[nodiscard]] Result<void> write(std::span<const std::byte> data);
    // The end marks of the archive.
    [[nodiscard]] Result<void> finish();

    // A plain file, read-only, of no date and owner.
    [[nodiscard]] Result<void> add_file(const std::string& name, std::string_view content);
    [[nodiscard]] Result<void> add_file(const std::string& name, std::uint64_t size, const Source& content);

private:
    struct State;
    [[nodiscard]] Result<void> begin_file(const std::string& name, std::uint64_t size);
    [[nodiscard]] std::unexpected<Error> failure() const;

    std::unique_ptr<State> state_;
};

} // namespace strata::image

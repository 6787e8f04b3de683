// What a disk is made of on the host.
#pragma once

#include "base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace strata::backends {

// A block device's contents. Offsets and lengths are bytes, any alignment; [offset, offset + length) lies
// within size(), which callers check. Calls block; a device makes them from a worker thread, one at a time
// per backend unless concurrent() is true. After flush() returns, all earlier writes are on stable storage.
class BlockBackend {
public:
    virtual ~BlockBackend() = default;

    [[nodiscard]] virtual std::uint64_t size() const = 0;
    [[nodiscard]] virtual bool read_only() const = 0;

    [[nodiscard]] virtual bool concurrent() const { return false; }

    virtual Result<void> read(std::uint64_t offset, std::span<std::byte> to) = 0;
    virtual Result<void> write(std::uint64_t offset, std::span<const std::byte> from) = 0;
    virtual Result<void> flush() = 0;
    // The range may read as anything afterwards / reads as zeros afterwards, giving up space where it can.
    virtual Result<void> discard(std::uint64_t offset, std::uint64_t length) = 0;
    virtual Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length) = 0;

    // How many bytes from `offset` (< size()) on are known to read as zeros without being looked at.
    virtual Result<std::uint64_t> zeroes_at(std::uint64_t /*offset*/) { return 0; }
};

struct OpenOptions {
    std::string format = "auto"; // "raw", "qcow2" or "auto": qcow2 if its magic is there. A raw image that a
                                 // guest may write is never probed again: its format is fixed when opened.
    bool read_only = false;
};

// Opens a disk image; it is locked against a second writer.
[[nodiscard]] Result<std::unique_ptr<BlockBackend>> open_image(const std::string& path,
                                                               const OpenOptions& options);

// What `strata disk info` tells.
struct ImageInfo {
    std::string format;
    std::uint64_t virtual_size = 0;
    std::uint64_t allocated = 0;    // bytes the file uses on the host
    std::uint64_t cluster_size = 0; // 0 for raw
    std::string backing_file;       // empty if none
    std::string backing_format;
};

[[nodiscard]] Result<ImageInfo> image_info(const std::string& path);

struct CreateOptions {
    std::string format = "qcow2";
    std::uint64_t size = 0; // 0 with a backing file: its size
    std::optional<std::string> backing_file{};
    std::string backing_format{};   // required with a backing file
    std::uint64_t cluster_size = 0; // of qcow2; 0: the usual one
    bool replace = false;           // what is there already; else that is an error
};

// A failure leaves what was there.
[[nodiscard]] Result<void> create_image(const std::string& path, const CreateOptions& options);

// Called now and then with how many bytes of how many are done; false gives up.
using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

// Makes an image at `to` with the contents of that at `from`, all backing files included. `options.size` is
// not used. A failure leaves what was there; given up, the error's code is ECANCELED.
[[nodiscard]] Result<void> convert_image(const std::string& from, const OpenOptions& open,
                                         const std::string& to, const CreateOptions& options,
                                         const Progress& progress);

} // namespace strata::backends

// A host file or block device that holds an image: whole transfers, holes, and a lock against a second
// writer.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace strata::backends {

// Every member is safe from any thread, as the system calls below it are.
class ImageFile {
public:
    enum class Access : std::uint8_t { read_only, read_write };

    // Locks the file: readers share it, a writer has it alone. QEMU's tools see and honour the lock.
    [[nodiscard]] static Result<ImageFile> open(const std::string& path, Access access);
    // Makes a new file, or empties an old one once it is locked.
    [[nodiscard]] static Result<ImageFile> create(const std::string& path);

    [[nodiscard]] const std::string& path() const { return path_; }

    [[nodiscard]] bool is_block_device() const { return block_device_; }

    [[nodiscard]] Access access() const { return access_; }

    [[nodiscard]] Result<std::uint64_t> size() const;
    // Bytes that the file takes on the host's disk.
    [[nodiscard]] Result<std::uint64_t> allocated() const;

    // What lies past the end reads as zeros.
    Result<void> read(std::uint64_t offset, std::span<std::byte> to) const;
    Result<void> write(std::uint64_t offset, std::span<const std::byte> from);
    Result<void> resize(std::uint64_t size);
    Result<void> flush();
    // Gives the range back to the host if it can; what it reads as afterwards is the host's choice.
    Result<void> discard(std::uint64_t offset, std::uint64_t length);
    // The range reads as zeros afterwards; it gives up its space if the host can do that.
    Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length);

    // How many bytes from `offset` on are a hole.
    [[nodiscard]] Result<std::uint64_t> hole_at(std::uint64_t offset) const;

private:
    ImageFile(FileDescriptor file, std::string path, Access access, bool block_device)
        : file_(std::move(file)), path_(std::move(path)), access_(access), block_device_(block_device) {}

    static Result<ImageFile> open_with(const std::string& path, Access access, int flags);
    Result<void> write_zero_bytes(std::uint64_t offset, std::uint64_t length);

    FileDescriptor file_;
    std::string path_;
    Access access_;
    bool block_device_;
};

} // namespace strata::backends

#include "backends/block/image_file.hpp"

#include "backends/block/image_lock.hpp"
#include "base/open_file.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::backends {

namespace {

bool not_supported(int code) {
    return code == EOPNOTSUPP || code == ENOSYS || code == ENOTTY || code == EINVAL;
}

} // namespace

Result<ImageFile> ImageFile::open_with(const std::string& path, Access access, int flags) {
    const bool writer = access == Access::read_write;
    // O_NONBLOCK: opening a FIFO would wait for its other side. It changes nothing for what is accepted here.
    FileDescriptor file(
        ::open(path.c_str(), (writer ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | flags, 0666));
    if (!file) {
        const bool may_be_readable = writer && (flags & O_CREAT) == 0 && (errno == EACCES || errno == EROFS);
        return fail_errno("open disk", path, errno,
                          may_be_readable ? "open it read-only, or change its permissions" : hint_for(errno));
    }
    struct stat status{};
    if (fstat(file.get(), &status) != 0) {
        return fail_errno("examine disk", path);
    }
    const bool block_device = S_ISBLK(status.st_mode);
    if (!block_device && !S_ISREG(status.st_mode)) {
        return fail("disk " + path + " is " + std::string(kind_of_file(status.st_mode)) +
                        ", neither a regular file nor a block device",
                    "copy what it gives to a file first");
    }
    if (auto locked = lock_image(file.get(), path, writer); !locked) {
        return std::unexpected(locked.error());
    }
    return ImageFile(std::move(file), path, access, block_device);
}

Result<ImageFile> ImageFile::open(const std::string& path, Access access) {
    return open_with(path, access, 0);
}

Result<ImageFile> ImageFile::create(const std::string& path) {
    auto file = open_with(path, Access::read_write, O_CREAT);
    if (file && !file->is_block_device()) {
        if (auto emptied = file->resize(0); !emptied) {
            return std::unexpected(emptied.error());
        }
    }
    return file;
}

Result<std::uint64_t> ImageFile::size() const {
    const off_t end = lseek(file_.get(), 0, SEEK_END);
    if (end < 0) {
        return fail_errno("find the size of disk", path_);
    }
    return static_cast<std::uint64_t>(end);
}

Result<std::uint64_t> ImageFile::allocated() const {
    if (block_device_) {
        return size();
    }
    struct stat status{};
    if (fstat(file_.get(), &status) != 0) {
        return fail_errno("examine disk", path_);
    }
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

Result<void> ImageFile::read(std::uint64_t offset, std::span<std::byte> to) const {
    while (!to.empty()) {
        const auto got = pread(file_.get(), to.data(), to.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno("read disk", path_);
        }
        if (got == 0) {
            std::ranges::fill(to, std::byte{0});
            return {};
        }
        to = to.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return {};
}

Result<void> ImageFile::write(std::uint64_t offset, std::span<const std::byte> from) {
    while (!from.empty()) {
        const auto put = pwrite(file_.get(), from.data(), from.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            const int code = put < 0 ? errno : ENOSPC;
            return fail_errno("write disk", path_, code, hint_for(code));
        }
        from = from.subspan(static_cast<std::size_t>(put));
        offset += static_cast<std::uint64_t>(put);
    }
    return {};
}

Result<void> ImageFile::resize(std::uint64_t size) {
    if (ftruncate(file_.get(), static_cast<off_t>(size)) != 0) {
        return fail_errno("resize disk", path_, errno, hint_for(errno));
    }
    return {};
}

Result<void> ImageFile::flush() {
    if (fdatasync(file_.get()) != 0) {
        return fail_errno("flush disk", path_);
    }
    return {};
}

Result<void> ImageFile::discard(std::uint64_t offset, std::uint64_t length) {
    int failed = 0;
    if (block_device_) {
        std::array<std::uint64_t, 2> range{offset, length};
        failed = ioctl(file_.get(), BLKDISCARD, range.data());
    } else {
        failed = fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           static_cast<off_t>(offset), static_cast<off_t>(length));
    }
    if (failed != 0 && !not_supported(errno)) {
        return fail_errno("discard on disk", path_);
    }
    return {};
}

Result<void> ImageFile::write_zeroes(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) {
        return {};
    }
    // A hole reads as zeros, on block devices too, where the kernel zeroes what it cannot unmap.
    if (fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) == 0) {
        return {};
    }
    if (!not_supported(errno)) {
        return fail_errno("write zeroes to disk", path_);
    }
    return write_zero_bytes(offset, length);
}

Result<std::uint64_t> ImageFile::hole_at(std::uint64_t offset) const {
    const off_t data = lseek(file_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data >= 0) {
        return static_cast<std::uint64_t>(data) - offset;
    }
    if (errno != ENXIO) {
        return 0; // the host does not know
    }
    const auto end = size();
    return end && *end > offset ? *end - offset : 0;
}

Result<void> ImageFile::write_zero_bytes(std::uint64_t offset, std::uint64_t length) {
    static constexpr std::array<std::byte, 65536> zeros{};
    while (length > 0) {
        const auto chunk = std::min<std::uint64_t>(length, zeros.size());
        if (auto written = write(offset, std::span(zeros).first(chunk)); !written) {
            return written;
        }
        offset += chunk;
        length -= chunk;
    }
    return {};
}

} // namespace strata::backends

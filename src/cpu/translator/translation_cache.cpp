#include "cpu/translation_cache.hpp"

#include "base/atomic_file.hpp"
#include "base/open_file.hpp"
#include "cpu/translator/trace_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::cpu {

namespace {

constexpr const char* what = "translation cache";

// Of the whole file, among processes; given back when it goes.
class FileLock {
public:
    explicit FileLock(int file) : file_(file) { failed_ = !change(F_WRLCK); }

    ~FileLock() { static_cast<void>(change(F_UNLCK)); }

    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

    [[nodiscard]] bool failed() const { return failed_; }

private:
    [[nodiscard]] bool change(short type) const {
        struct flock lock{};
        lock.l_type = type;
        lock.l_whence = SEEK_SET;
        int result = 0;
        do {
            result = fcntl(file_, F_OFD_SETLKW, &lock);
        } while (result != 0 && errno == EINTR);
        return result == 0;
    }

    int file_;
    bool failed_;
};

// Whether code in it may be executed: see docs/security.md.
Result<void> check_owner(int file, uid_t user, const std::string& object) {
    struct stat status{};
    if (fstat(file, &status) != 0) {
        return fail_errno("examine", object);
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(fmt::format("{} is {}, not a regular file", object, kind_of_file(status.st_mode)),
                    "name a file of its own, which may be missing");
    }
    if (status.st_uid != user) {
        return fail(
            fmt::format("{} belongs to another user, whose code it would be that is executed", object),
            "name a file of your own");
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fail(fmt::format("others may write to {}, whose code it would be that is executed", object),
                    "delete it, or name another one");
    }
    return {};
}

// From the beginning on, so much as there is.
Result<std::vector<std::byte>> read_first(int file, std::size_t size, const std::string& object) {
    std::vector<std::byte> bytes(size);
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = pread(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno("read", object);
        }
        if (count == 0) {
            break;
        }
        done += static_cast<std::size_t>(count);
    }
    bytes.resize(done);
    return bytes;
}

// All of it, unless it is larger than such a file is.
Result<std::vector<std::byte>> read_all(int file, const std::string& object) {
    struct stat status{};
    if (fstat(file, &status) != 0) {
        return fail_errno("examine", object);
    }
    constexpr std::uint64_t too_much = translator::most_bytes_of_trace_file + 1;
    return read_first(file, std::min(static_cast<std::uint64_t>(status.st_size), too_much), object);
}

} // namespace

TranslationCache::TranslationCache(std::string path, FileDescriptor file, const Identity& build)
    : path_(std::move(path)), file_(std::move(file)), build_(build), user_(geteuid()),
      store_(std::make_unique<translator::TraceStore>(translator::most_bytes_of_traces)) {}

TranslationCache::~TranslationCache() = default;

Result<std::unique_ptr<TranslationCache>> TranslationCache::open(const std::string& path) {
    const std::string object = fmt::format("{} {}", what, path);
    const auto build = translator::build_identity();
    if (!build) {
        return fail("this program has no build ID, by which a translation cache knows who has made it",
                    "link it with --build-id, or leave out --translation-cache");
    }
    FileDescriptor file(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, S_IRUSR | S_IWUSR));
    if (!file) {
        return fail_errno("open", object, errno, hint_for(errno));
    }
    std::unique_ptr<TranslationCache> cache(new TranslationCache(path, std::move(file), *build));
    const FileLock lock(cache->file_.get());
    if (lock.failed()) {
        return fail_errno("lock", object);
    }
    const auto taken = cache->take();
    if (!taken) {
        return std::unexpected(taken.error());
    }
    if (!taken->empty()) {
        cache->passed_over_ = fmt::format("{} {}: it is not used, and made anew", object, *taken);
    }
    return cache;
}

Result<std::string> TranslationCache::take() {
    const std::string object = fmt::format("{} {}", what, path_);
    if (auto checked = check_owner(file_.get(), user_, object); !checked) {
        return std::unexpected(checked.error());
    }
    auto bytes = read_all(file_.get(), object);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    if (bytes->empty()) {
        taken_.clear();
        return {};
    }
    if (bytes->size() > translator::most_bytes_of_trace_file || !translator::is_trace_file(*bytes)) {
        return fail(fmt::format("{} is no such file, and would be overwritten", path_),
                    "name a file of its own, which may be missing");
    }
    auto traces = translator::read_trace_file(build_, *bytes);
    if (!traces) {
        return traces.error().message;
    }
    taken_.assign(bytes->begin(), bytes->begin() + translator::bytes_of_trace_file_header);
    *bytes = {};
    store_->forget_unused(); // what of it is still wanted is in the file
    for (auto& trace : *traces) {
        store_->load(std::move(trace));
    }
    return {};
}

bool TranslationCache::is_taken() const {
    const auto header = read_first(file_.get(), translator::bytes_of_trace_file_header, path_);
    return header && *header == taken_;
}

Result<void> TranslationCache::save() {
    if (!store_->has_news() && passed_over_.empty()) {
        return {};
    }
    const std::string object = fmt::format("{} {}", what, path_);
    const FileLock lock(file_.get());
    if (lock.failed()) {
        return fail_errno("lock", object);
    }
    if (!is_taken()) {
        if (auto taken = take(); !taken) {
            return std::unexpected(taken.error());
        }
    }
    const auto bytes = translator::write_trace_file(build_, store_->to_keep());
    if (ftruncate(file_.get(), 0) != 0 || lseek(file_.get(), 0, SEEK_SET) != 0) {
        return fail_errno("write", object);
    }
    if (auto written = write_all(file_.get(), bytes, object); !written) {
        static_cast<void>(ftruncate(file_.get(), 0)); // half of it is of no use
        return written;
    }
    return {};
}

} // namespace strata::cpu

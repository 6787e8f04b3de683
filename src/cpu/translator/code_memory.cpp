#include "cpu/translator/code_memory.hpp"

#include <sys/mman.h>
#include <utility>

namespace strata::cpu::translator {

Result<CodeMemory> CodeMemory::create(std::size_t size) {
    constexpr const char* what = "memory for translated code";
    const FileDescriptor file(::memfd_create("strata-code", MFD_CLOEXEC));
    if (!file || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
        return fail_errno("create", what);
    }
    void* writable = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (writable == MAP_FAILED) {
        return fail_errno("map", what);
    }
    void* executable = ::mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_SHARED, file.get(), 0);
    if (executable == MAP_FAILED) {
        const int code = errno;
        ::munmap(writable, size);
        return fail_errno("map", what, code,
                          "the host forbids executable mappings; '--engine interpreter' needs none");
    }
    return CodeMemory(static_cast<std::uint8_t*>(writable), static_cast<std::uint8_t*>(executable), size);
}

CodeMemory::CodeMemory(CodeMemory&& other) noexcept
    : writable_(std::exchange(other.writable_, nullptr)),
      executable_(std::exchange(other.executable_, nullptr)), size_(other.size_), used_(other.used_),
      kept_(other.kept_), section_(other.section_) {}

CodeMemory::~CodeMemory() {
    if (writable_ != nullptr) {
        ::munmap(writable_, size_);
        ::munmap(executable_, size_);
    }
}

} // namespace strata::cpu::translator

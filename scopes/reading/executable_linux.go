package reading

// executable is the program that runs, also where its file has been replaced since.
const executable = "/proc/self/exe"
